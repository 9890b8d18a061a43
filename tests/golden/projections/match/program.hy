(defchor serve [Client Server] (-> Client Server Client) [request store]
  (match (Client=>Server request)
    ["get" key] (Server->Client (Server (.get store key)))
    ["put" key #* values] (do (Server (.update store {key values}))
                              (Client "stored"))
    {"ping" n} :if (> n 0) (Client (+ n 1))
    _ (Client "what?")))
