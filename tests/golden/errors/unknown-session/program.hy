(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(defn :async main []
  (with [:async shop (klorpy.host :listen "127.0.0.1:0" :sessions ["order 7"])]
    (setv address f"127.0.0.1:{(get shop.carrier.ports 0)}")
    (with [:async transport (klorpy.connect order "Buyer" :session "order 8" :peers {"Shop" address} :deadline 1)]
      (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12)))))
(anyio.run main)
