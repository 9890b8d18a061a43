(import klorpy [simulate-chor])
(with-opts {:verify {:agreement True}}
  (defchor open-box [A B C] (-> A B C #{A B C}) [x y z]
    (agree! x y z)))
(setv failed (simulate-chor open-box 7 8 7 :check False :sanitize False))
