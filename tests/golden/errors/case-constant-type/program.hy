(defchor serve [Client Server] (-> Client Client) [request]
  (case request
    "get" (Client "data")
    (Client "what?")))
