(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(defn :async main []
  (with [:async node (klorpy.host)]
    (for [price [12 15]]
      (.seat node order "Buyer" "order 7"))))
(anyio.run main)
