(defchor auth [C A] (-> C #{C A}) [password]
  (C=>A password))
(defn make []
  (defchor get-token [C A] (-> C A) [password]
    (narrow [A] (auth [C A] password)))
  get-token)
(defchor auth [C A] (-> C C) [password]
  (A->C (C->A password)))
(make)
