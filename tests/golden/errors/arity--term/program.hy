(import klorpy.behaviour [parse-contract])
(parse-contract "(seq (recv order) (send buyer))")
