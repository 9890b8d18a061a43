(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start a k (u U) (c C)) (com k (u U) 1234 (c C) x)") {"a" Login})
