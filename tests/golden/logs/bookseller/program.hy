(import klorpy [simulate-chor])
(defchor buy [Buyer Seller] (-> Buyer Seller Buyer) [order catalogue]
  (let [price (Seller->Buyer (Seller (.get catalogue (Buyer->Seller (Buyer (get order "title"))))))]
    (if (Buyer=>Seller (Buyer (<= price (get order "budget"))))
        (do (Seller (print "sold" (Buyer->Seller (Buyer (get order "title")))))
            (Buyer (print "bought at" price))
            (Buyer True))
        (do (Seller (print "changed his mind"))
            (Buyer False)))))
(setv bought (simulate-chor buy {"title" "Dune" "budget" 20} {"Dune" 12}))
(setv refused (simulate-chor buy {"title" "Dune" "budget" 20} {"Dune" 25}))
