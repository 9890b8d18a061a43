(import klorpy anyio)
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop (Buyer (/ 100 price))))
(defn :async main []
  (with [:async node (klorpy.host)]
    (try (with [:async seat (.join node order "Buyer" "order 7" :deadline 0.1)])
      (except [klorpy.RolesMissing]))
    (setv shop (.seat node order "Shop" "order 7"))
    (await (klorpy.play-role {"role" "Shop"  "transport" shop} order))))
(anyio.run main)
