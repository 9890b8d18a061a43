(import klorpy anyio tempfile)
(import klorpy.environment.certificates [make-certificates])
(defchor order [Buyer Shop] (-> Buyer Shop) [price]
  (Buyer->Shop price))
(defn :async main [folder]
  (list (make-certificates folder ["Shop" "Thief"] 1))
  (with [:async shop (klorpy.host :listen "127.0.0.1:0" :tls (klorpy.Identity.of folder ["Shop"]))]
    (setv address f"127.0.0.1:{(get shop.carrier.ports 0)}")
    (.seat shop order "Shop" "order 7")
    (with [:async thief (klorpy.host :peers {"Shop" address} :tls (klorpy.Identity.of folder ["Thief"]))]
      (with [:async transport (.join thief order "Buyer" "order 7")]
        (await (klorpy.play-role {"role" "Buyer"  "transport" transport} order 12))))))
(with [folder (tempfile.TemporaryDirectory)]
  (anyio.run main folder))
