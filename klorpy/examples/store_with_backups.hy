"A store whose way of making backups is an argument: the same server with no backup, one, or two.

`replicate` is a choreography that takes a request from the server to the backups, and returns when they have carried
it out."

(require klorpy *)
(import klorpy.examples.key-value-store [handle])

(defchor serve-all [C S X Y] (-> C S (-> S S | X Y) C) [requests store replicate]
  "The answers. The server answers a request when its backups have carried it out."
  (loop [todo requests
         answers (C [])]
    ;; The backups may take part in each round, so they too have to know whether there is one.
    (if (bcast [C S X Y] (C (bool todo)))
      (let [request (C->S (C (get todo 0)))]
        (replicate request)
        (recur (C (cut todo 1 None))
               (C [#* answers (S->C (S (handle store request)))])))
      answers)))

(defchor back-up [S X] (-> S X S) [request store]
  "Have X carry out a request too; what it answered."
  (X->S (X (handle store (S->X request)))))

(defchor no-backup [C S X Y] (-> C [C S]) [requests]
  (let [store (S {})]
    (pack (serve-all [C S X Y] requests store
            (chor (-> S S | X Y) [request] (S None)))
          store)))

(defchor one-backup [C S X Y] (-> C [C #{S X}]) [requests]
  (let [store (S {})
        copy-x (X {})]
    (pack (serve-all [C S X Y] requests store
            (chor (-> S S | X Y) [request] (back-up [S X] request copy-x)))
          (agree! store copy-x))))

(defchor two-backups [C S X Y] (-> C [C #{S X Y}]) [requests]
  (let [store (S {})
        copy-x (X {})
        copy-y (Y {})]
    (pack (serve-all [C S X Y] requests store
            (chor (-> S S | X Y) [request]
              ;; Both backups get the request before the server waits for either.
              (let [at-x (S->X request)
                    at-y (S->Y request)]
                (gather [S X Y] (X (handle copy-x at-x)) (Y (handle copy-y at-y))))))
          (agree! store copy-x copy-y))))
