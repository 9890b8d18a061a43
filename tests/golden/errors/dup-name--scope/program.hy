(import klorpy.behaviour [parse-choreography])
(parse-choreography "(seq (scope x (roles r s) (com r s a))\n     (scope x (roles r s) (com r s b)))")
