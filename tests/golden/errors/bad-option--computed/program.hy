(setv strict True)
(with-opts {:verify {:agreement (not strict)}}
  (defchor greet [A B] (-> A B) [name]
    (A->B name)))
