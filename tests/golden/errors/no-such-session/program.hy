(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(merge (parse-gc "(com k (u U) (password) (c C) x)") {"a" Login})
