(with-opts {:verify {:signature True}}
  (defchor tell [A B] (-> A B) [x] (A->B x))
  (defchor twice [A B] (-> A A) [x]
    (tell [B A] (tell [A B] x))))
