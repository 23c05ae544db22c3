"""Will a customer of a real online gift wholesaler buy again within 60 days?"""
