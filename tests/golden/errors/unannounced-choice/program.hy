(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(defprotocol Login [U C] (-> U C str))
(merge
  (parse-gc "(if (new-here) t ((start a k (t U) (c C)) (com k (t U) (password) (c C) x)) 0)")
  {"a" Login})
