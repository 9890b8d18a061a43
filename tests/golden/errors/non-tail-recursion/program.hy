(defprotocol Nest [A B]
  (mu t (branch A B (open t (-> B A (close))) (leaf))))
