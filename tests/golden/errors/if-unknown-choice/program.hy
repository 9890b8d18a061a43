(defchor buy [Buyer Seller] (-> Buyer Seller Buyer) [budget price]
  (if (Buyer (>= budget (Seller->Buyer price)))
      (do (Seller (print "sold"))
          (Buyer "bought"))
      (Buyer "too dear")))
