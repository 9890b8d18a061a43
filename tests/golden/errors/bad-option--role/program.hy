(with-opts {:verify {:agreement C}}
  (defchor same [A B] (-> #{A B} B) [x]
    (narrow [B] x)))
