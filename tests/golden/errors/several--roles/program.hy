(defchor shop [Buyer Seller Buyer :bank None] (-> Buyer Seller) [x]
  (Buyer->Seller x))
