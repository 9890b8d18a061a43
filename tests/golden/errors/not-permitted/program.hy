(import anyio asyncio klorpy)

(defn :async refuse [reader writer]
  "A NATS server that knows nobody."
  (.write writer b"INFO {\"auth_required\": true}\r\n")
  (await (.readline reader))
  (.write writer b"-ERR 'Authorization Violation'\r\n")
  (await (.drain writer))
  (.close writer))

(defn :async main []
  (with [:async server (await (asyncio.start-server refuse "127.0.0.1" 0))]
    (setv port (get (.getsockname (get server.sockets 0)) 1))
    (try
      (with [:async _ (klorpy.host :nats f"nats://Buyer:secret@127.0.0.1:{port}")])
      (except [error klorpy.KlorError]
        ; The port is another each time.
        (raise (klorpy.KlorError (.replace error.message (str port) "4222") :slug error.slug :help error.help) :from None)))))

(anyio.run main)
