(defprotocol Ask [A B] (-> A B question) (-> B A answer))
(with-opts {:protocol Ask}
  (defchor ask [A B] (-> A B) [x]
    (A->B x)))
