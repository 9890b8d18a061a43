(import anyio klorpy)
(defn :async main []
  (with [:async _ (klorpy.host :nats "nats://127.0.0.1:1" :grace 0.1)]))
(anyio.run main)
