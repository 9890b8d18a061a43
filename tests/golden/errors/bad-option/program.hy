(with-opts {:verify {:agreements True}}
  (defchor greet [A B] (-> A B) [name]
    (A->B name)))
