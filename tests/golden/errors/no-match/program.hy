(import klorpy [simulate-chor])
(defchor serve [Client Server] (-> Client Server) [request]
  (let [request (Client=>Server request)]
    (case request
      "get" (Server "data")
      "put" (Server "stored"))))
(simulate-chor serve "delete" :sanitize False)
