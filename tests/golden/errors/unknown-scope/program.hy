(import klorpy.behaviour [judge-update parse-choreography])
(setv shop (parse-choreography "(scope pay (roles buyer seller) (com buyer seller card))"))
(judge-update shop "payment" (parse-choreography "(com buyer seller cash)"))
