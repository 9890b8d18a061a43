(defchor buy [Buyer Seller Bank Post] (-> Buyer Seller Buyer) [budget price]
  (if (Buyer=>Seller (Buyer (>= budget (Seller->Buyer price))))
      (do (Bank (print "paid"))
          (Post (print "sent"))
          (Buyer "bought"))
      (Buyer "too dear")))
