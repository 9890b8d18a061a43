(import klorpy [simulate-chor])
(with-opts {:verify {:signature True}}
  (defchor auth [C A] (-> C #{C A}) [password]
    (C=>A password))
  (defchor get-token [C A] (-> C A) [password]
    (narrow [A] (auth [C A] password))))
(defchor auth [C A] (-> C C) [password]
  (A->C (C->A password)))
(simulate-chor get-token "secret")
