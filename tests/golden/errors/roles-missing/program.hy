(import klorpy anyio)
(defchor order [Buyer Shop Bank] (-> Buyer Bank) [price]
  (Shop->Bank (Buyer->Shop price)))
(defn :async main []
  (with [:async node (klorpy.host)]
    (.seat node order "Shop" "order 7")
    (with [:async transport (.join node order "Buyer" "order 7" :deadline 0.1)]
      (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12)))))
(anyio.run main)
