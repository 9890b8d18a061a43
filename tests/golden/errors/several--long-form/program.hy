(defchor order [Buyer Seller] (-> Buyer Seller Buyer) [wanted stock]
  (let [wanted (Buyer->Seller wanted)]
    (if (Seller (in wanted stock))
        (do
          (Seller (print "found"))
          (let [price (Seller (get stock wanted))
                ; the price is fixed from here on
                offer (Seller->Buyer price)]
            (Buyer
              (print "offered at"
                     offer))
            (Seller (print "waiting"))
            (Buyer "bought")))
        (Buyer "not there"))))
