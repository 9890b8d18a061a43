"A store that two servers hold: the replicas are one value of the type `#{Primary Backup}`.

Both servers carry out the same requests in the same order, so their stores stay equal. The type says that they do, and
the simulator compares them. Only the lifting differs from a store with one server."

(require klorpy *)
(import klorpy.examples.key-value-store [handle])

(defchor serve [Client Primary Backup] (-> Client #{Primary Backup} Client) [request store]
  (let [request (Primary=>Backup (Client->Primary request))
        answer (lifting [Primary Backup] (handle store request))]
    ;; Both have the answer; one of them sends it.
    (Primary->Client answer)))

(defchor replicated-store [Client Primary Backup] (-> Client [Client #{Primary Backup}]) [requests]
  "The answers, at the client, and what is then in the store, at both servers."
  (let [store (lifting [Primary Backup] {})]
    (loop [todo requests
           answers (Client [])]
      (if (bcast [Client Primary Backup] (Client (bool todo)))
        (let [answer (serve [Client Primary Backup] (Client (get todo 0)) store)]
          (recur (Client (cut todo 1 None)) (Client [#* answers answer])))
        (pack answers store)))))
