(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(defn :async main []
  (setv transport (.endpoint (klorpy.MemoryNetwork order.roles) "Buyer"))
  (await (.close transport))
  (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12)))
(anyio.run main)
