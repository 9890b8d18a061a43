(defchor serve [Client Server] (-> Client Client) [request]
  (Client
    (case request
      "get" (Server->Client (Server "data"))
      "put" "stored"
      "what?")))
