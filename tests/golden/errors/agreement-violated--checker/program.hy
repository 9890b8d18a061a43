(import klorpy [simulate-chor])
(with-opts {:verify {:agreement Judge}}
  (defchor open-box [Alice Bob Judge] (-> Alice Bob Judge #{Alice Bob Judge}) [mine yours his]
    (agree! mine yours his)))
(simulate-chor open-box "7" 7 "7" :sanitize False)
