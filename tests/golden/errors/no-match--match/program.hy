(import klorpy [simulate-chor])
(defchor serve [Client] (-> Client Client) [request]
  (match request
    [verb #* arguments] verb
    {"verb" verb} verb))
(simulate-chor serve "delete" :sanitize False)
