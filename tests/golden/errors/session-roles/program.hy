(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(typecheck (parse-gc "(start a k (u U) (c C)) (com k (v U) (password) (c C) x)") {"a" Login})
