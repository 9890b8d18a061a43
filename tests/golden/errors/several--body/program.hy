(defchor shop [Buyer Seller] (-> Buyer Seller Buyer) [budget catalog]
  (let [title (Buyer->Selller "Dune")
        price (Seller (get catalog budget))
        answer (Seller->Buyer (> budget price))]
    (if answer
        (do (Seller (print "sold" Buyer))
            (setv budget 0))
        (narrow [Seller] answer))))
