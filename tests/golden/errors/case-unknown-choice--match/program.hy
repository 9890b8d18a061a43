(defchor serve [Client Server] (-> Client Client) [request]
  (match request
    [verb #* rest] (Server->Client (Server (len (Client->Server rest))))
    _ (Client "what?")))
