(import klorpy.behaviour [Registry parse-contract])
(setv registry (Registry {"shop" (parse-contract "(recv order)")}))
(get registry "bank")
