(defchor serve [Client Server] (-> Client Server Client) [request store]
  (let [[verb key] (Client=>Server request)]
    (case verb
      "get" (Server->Client (Server (.get store key)))
      "put" (do (Server (.update store {key 1}))
                (Client "stored"))
      None (Client None)
      (Client (print "what?" verb)))))

(defchor no-default [A] (-> A A) [x]
  (case x 1 "one" #(2 3) "pair" 'symbol "symbol" -4 "minus four"))
