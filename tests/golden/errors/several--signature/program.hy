(defchor shop [Buyer Seller] (-> Byer #{Seller Buyer Seller} [] (-> Buyer | Seller Buyer)) [x y 5]
  (Buyer->Seller x))
