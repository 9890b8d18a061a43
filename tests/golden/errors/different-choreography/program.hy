(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(setv older order)
(del order)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop (Buyer (* 2 price))))
(defn :async main []
  (with [:async node (klorpy.host)]
    (.seat node older "Shop" "order 7")
    (with [:async transport (.join node order "Buyer" "order 7")]
      (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12)))))
(anyio.run main)
