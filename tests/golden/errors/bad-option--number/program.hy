(with-opts {:verify {:agreement 5}}
  (defchor tell [A B] (-> A B) [x] (A->B x)))
