(import klorpy.behaviour [parse-gc parse-protocol merge typecheck enact])
(parse-gc "(start a k (u U) (c C)) (send k u c)")
