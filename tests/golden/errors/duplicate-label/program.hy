(defprotocol Ask [A B]
  (branch A B
    (more (-> B A int))
    (more (-> B A str))))
