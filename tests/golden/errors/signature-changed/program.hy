(defchor auth [C A] (-> C #{C A}) [password]
  (C=>A password))
(defchor get-token [C A] (-> C #{C A}) [password]
  (auth [C A] password))
(defchor auth [C S A] (-> C #{C S A}) [password]
  (C=>S (C=>A password)))
