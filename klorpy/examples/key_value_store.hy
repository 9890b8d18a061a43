"A client and a server that keeps its data: the client sends requests, the server answers them in order."

(require klorpy *)

(defn handle [store request]
  "Carry out a request on a dict and give the answer: the value before it."
  (match request
    ["get" key] (.get store key)
    ["put" key value] (let [before (.get store key)]
                        (setv (get store key) value)
                        before)))

(defchor serve [Client Server] (-> Client Server Client) [request store]
  (Server->Client (Server (handle store (Client->Server request)))))

(defchor key-value-store [Client Server] (-> Client [Client Server]) [requests]
  "The answers, at the client, and what is then in the store, at the server."
  (let [store (Server {})]
    (loop [todo requests
           answers (Client [])]
      (if (Client=>Server (Client (bool todo)))
        (let [answer (serve [Client Server] (Client (get todo 0)) store)]
          (recur (Client (cut todo 1 None)) (Client [#* answers answer])))
        (pack answers store)))))
