(defchor serve [Client Server] (-> #{Client Server} Client) [request]
  (case request
    "get" (Client "data")
    "put" (Server "stored")
    (Client "what?")))
