(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start b k (u U) (c C)) (com k (u U) (password) (c C) x)") {"a" Login})
