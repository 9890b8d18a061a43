(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(enact (parse-gc "(start a k (u U) (c C)) (com k (u U) (password) (c C) x)") {})
