(import klorpy.behaviour [parse-choreography])
(parse-choreography "(seq (com buyer seller order) (send buyer offer))")
