(import klorpy [simulate-chor])
(with-opts {:verify {:agreement True}}
  (defchor open-box [Alice Bob] (-> Alice Bob #{Alice Bob}) [mine yours]
    (agree! mine yours)))
(simulate-chor open-box 7 8 :sanitize False)
