(import klorpy anyio)
(defchor order [Buyer Shop Bank] (-> Buyer Bank) [price]
  (Shop->Bank (Buyer->Shop (Buyer (/ 100 price)))))
(defn :async main []
  (setv network (klorpy.MemoryNetwork order.roles)
        play (fn [role #* args] (klorpy.play-role {"role" role  "transport" (.endpoint network role)} order #* args)))
  (try (await (play "Buyer" 0))
    (except [ZeroDivisionError]))
  (await (play "Bank")))
(anyio.run main)
